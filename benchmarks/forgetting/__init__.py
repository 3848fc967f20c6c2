"""How exactly a concept is forgotten: ours, the paper's method, and everything else one could use,
on the same models, prompts, seeds and few-shot images.
"""
