"""What starts runs by itself: cron expressions, due ticks, signatures, input."""
