"""What is asked of an engine, the same for all of them: prompts as token ids, warm-up, the builtin models."""
