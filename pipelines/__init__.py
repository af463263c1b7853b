"""The spine: stages, documents, recipe, plan, run, engines, sources, report, command line."""
