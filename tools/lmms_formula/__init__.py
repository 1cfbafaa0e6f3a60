"""A plugin for lmms-eval: a model whose answers are a formula of picture and text, for check_lmms_bridge.py."""
