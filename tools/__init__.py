"""Build-time code: the API document and pages made from code."""
