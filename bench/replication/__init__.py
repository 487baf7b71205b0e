"""The paper's tables and figures made anew: independent training runs, and what they say."""
