"""Where facts come from, and the landing that keeps them as they came.

``shapes`` says in settings how a source looks, ``base`` what a source does, ``files``, ``sql`` and ``demo`` are
sources; ``landing`` keeps what arrives, ``readings`` what was read from it, ``facts`` gives a day's rows. Nothing
here writes to the warehouse or imports Dagster.
"""
