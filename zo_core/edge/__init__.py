"""A client without torch: export, manifest, weights file and ONNX Runtime losses."""
