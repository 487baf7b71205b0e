"""The kernels in plain torch operations: any device, any floating dtype, in bounded chunks.

Used for tensors that NumPy cannot view (bfloat16, accelerators) where no faster kernel is to be had.
"""
