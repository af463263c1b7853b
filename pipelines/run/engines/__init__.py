"""Where units of work run: inline, in processes, on Ray."""
