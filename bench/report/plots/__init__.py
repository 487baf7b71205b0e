"""Every plot of the report, drawn from records."""
