"""vLLM, offline: `arguments` and `sampling` say what it is asked, `generation` asks, `facts` tell what it really did.

    this process                            its engine core         its workers, one a GPU
    LLM: requests in, answers out  ──────▶  scheduler, KV cache ──▶ model (and `worker.Extension`, our questions to it)
      ├ `statistics.Progress`               └──── log ──────────────┴──▶ `engine_log`: durations, and what broke
      └ `watch.EngineWatch` ◀───── its end ──┘                            `orphans`: each process ends with its parent

vLLM's own way of running is kept: the engine core in a process of its own, its defaults where the study says nothing.
Importing `backend` imports vllm; nothing else of the runner does.
"""
