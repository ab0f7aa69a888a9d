"""One file per position rule (stop, target, trailing, time); none yet."""
