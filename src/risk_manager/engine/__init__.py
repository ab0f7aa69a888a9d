"""One account as a function of its events: fold, rules, lockouts, plan, Decision."""
