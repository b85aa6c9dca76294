"""The way in. See `command_line.py` for what can be asked.

In the language of Python 3.6, and nothing is imported before an image was looked at: what this Python, or what is
installed for it, is too old for would be told as a traceback.
"""

import sys


def _look_at_image(folder: str) -> None:
    from llem_runner.image_look import tell

    try:
        tell(folder)
    except Exception as error:  # noqa: BLE001 - a look that fails should keep nobody from a run that would not
        print(f"The image could not be looked at: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["probe"] and len(sys.argv) == 3:
        _look_at_image(sys.argv[2])

    from llem_runner.command_line import main

    sys.exit(main(sys.argv[1:]))
