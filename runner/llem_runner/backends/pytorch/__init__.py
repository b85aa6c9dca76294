"""transformers on PyTorch: `device` decides where, `loading` how the model gets there, `generation` answers prompts.

Importing `backend` imports torch and transformers; nothing else of the runner does.
"""
