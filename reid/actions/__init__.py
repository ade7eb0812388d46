"""One function for each verb: assemble the parts, write the files, return a result."""
