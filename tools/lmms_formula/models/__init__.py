"""The models that lmms-eval finds here: a class by the name of its module.

The second has a name for which the tasks have a wording of its own.
"""

AVAILABLE_MODELS = {"formula": "Formula", "llava": "Formula"}
