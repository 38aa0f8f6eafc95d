"""Plans that worked, without the values that they worked on: abstracted, compared, shown."""
