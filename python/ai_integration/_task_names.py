"""Checks the tasks that an author declares."""

from . import _names, _results

_TEXT = (str, _results.TEXT)
# The number of characters of a name that are shown and compared with the names of the tasks.
_LONGEST = 100


def checked(task):
    """Returns the argument `task`, a name or a list of names, as a list of names.

    Raises TypeError if it is neither, and ValueError with the nearest task if one is not known.
    """
    names = [task] if isinstance(task, _TEXT) else task
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, _TEXT) for name in names):
        raise TypeError('task is %r, not a string such as "chat" or a list of strings' % (task,))
    for name in names:
        if name not in _names.TASKS:
            raise ValueError('the task "%s" is not known: %s' % (name[:_LONGEST], _hint(name)))
    return list(names)


def _hint(name):
    import difflib

    near = difflib.get_close_matches(name[:_LONGEST].lower(), _names.TASKS, 1, 0.75)
    return 'did you mean "%s"?' % near[0] if near else "known: " + ", ".join(_names.TASKS)
