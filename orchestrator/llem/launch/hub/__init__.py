"""Models of the Hub, fetched on the host before GPU time is spent.

`fetch` is all that the rest of llem knows. It works in a process of its own (`python -m llem.launch.hub`): its threads
end before anything is measured, a Ctrl-C ends it whatever it waits for, and llem itself never imports the client.
"""

from llem.launch.hub.fetch import fetch
from llem.launch.hub.order import Fetched, HubModel

__all__ = ["Fetched", "HubModel", "fetch"]
