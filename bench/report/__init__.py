"""Reports built from records: the HTML page, the terminal tables, the README section."""
