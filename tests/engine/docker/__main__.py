"""`python tests/engine/docker up | down | host | around COMMAND…`: no PYTHONPATH that COMMAND would inherit."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "nvml"))

from docker_engine.command_line import main

sys.exit(main(sys.argv[1:]))
