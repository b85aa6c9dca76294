"""`python -m llem.launch.hub MODELS`: see `work`."""

import sys

from llem.launch.hub.work import work

if __name__ == "__main__":
    sys.exit(work(sys.argv[1]))
