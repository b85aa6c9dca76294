"""Models of the Hub, fetched on the host before GPU time is spent.

`fetch.fetch` is all that the rest of llem knows. It works in a process of its own (`python -m llem.launch.hub`), told
and heard as `order` says: its threads end before anything is measured, a Ctrl-C ends it whatever it waits for, and llem
itself never imports the client.

    work → find → (cache, choice)     looks every model up, and tells what cannot be had (failures)
         → download                   makes each whole in the client's cache
"""
