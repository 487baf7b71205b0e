"""What the report shows of each group of records: sentences and tables."""
