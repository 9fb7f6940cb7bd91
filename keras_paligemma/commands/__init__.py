"""The commands of `keras-paligemma`, one a file.

Each has `add_parser(commands)`, which describes its arguments, and
`run(options)`, which does its work. Only `run` imports Keras, so that `--help`
and mistakes in the arguments answer at once.
"""
