"""The jobs, one file each, without any user interface. Rules that hold for all of them:

1. Checks come before the first yield; what is wrong with the input is a DemoError.
2. A long job is a generator: every event has `step` and `total`, the last is `...Done`; without it the job was stopped.
3. It yields at least every 0.25 s or after one step of one picture, and only there waits for the device.
4. Nothing thread-bound (no_grad, autocast) is open across a yield; `finally` only undoes.
5. Randomness comes from the job's own torch.Generator, never from the global seed.
6. What Stop must keep rides on every step. Arguments and events can be pickled.
7. Jobs do not import jobs, print nothing, leave no hook, and know nothing of Gradio.
"""
