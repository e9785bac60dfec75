"""The commands of ``python -m engine``; each module has ``add_arguments(parser)`` and ``run(arguments) -> dict``."""
