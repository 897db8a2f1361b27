"""x"""
def render(*a): raise NotImplementedError
