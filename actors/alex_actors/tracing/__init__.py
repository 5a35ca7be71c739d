"""What a log tells: the way of a task, as a diagram, and whether all tasks went as tasks must."""
