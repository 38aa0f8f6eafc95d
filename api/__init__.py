"""The HTTP service over the client: routes, server-sent events, problem documents."""

# The folder is mounted into the package by a link. Importing it by its bare name would make a
# second copy of every module, whose classes are not those of the first.
if __name__ != "flowbuilder.api":
    raise ImportError("import flowbuilder.api")
