"""How good the scheduler's decisions are: traces of use, policies, the best that could be done, and their comparison."""
