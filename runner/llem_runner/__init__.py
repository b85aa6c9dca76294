"""The half of llem that runs beside the GPU: it executes one experiment and measures what it costs.

Start-up imports are the standard library, pydantic and pynvml only; an inference engine is imported inside its own
module. `python3 -m llem_runner EXCHANGE_FOLDER` is the one way in; see `llem_runner.contract` for what crosses it.
"""
