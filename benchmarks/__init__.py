"""The benchmarks: every module without a leading underscore is one, apart from ``report``."""
