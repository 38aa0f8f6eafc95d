"""Runs flows durably over PostgreSQL: store, worker, notifications, migrations."""

# The folder is mounted into the package by a link. Importing it by its bare name would make a
# second copy of every module, whose classes are not those of the first.
if __name__ != "flowbuilder.executor":
    raise ImportError("import flowbuilder.executor")
