"""How a process shows what it does: metrics, traces, log lines. Nothing here is loaded by default.

`exposition` writes the numbers of `flowbuilder.metrics` for Prometheus, `tracing` and
`conventions` are the one way to OpenTelemetry, `logs` writes lines, `printed` keeps secrets out
of what tools print, `port` answers probes.
"""
