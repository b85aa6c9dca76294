"""Is this machine ready for these runs? Everything that is wrong is found before the first one, and told at once.

needs.py      what the runs that are to come need
folder.py     where results go: written to, with room
models.py     models that are here, readable for whoever runs
gpus.py       enough of them, free, with a driver that is new enough
memory.py     whether models fit into them
preflight.py  all of it, before a study begins or goes on
doctor.py     the same for `llem doctor`, with the versions of what there is
"""
