"""The service held against its own OpenAPI document, by calls that are made from it.

`make conformance` makes more than 20,000 of them (`CALLS=n SEED=n ARGS='--only REGEX'`); the tests
make some hundred.
"""
