"""Tools for services that the operator has connected; each is offered only where it can work."""
