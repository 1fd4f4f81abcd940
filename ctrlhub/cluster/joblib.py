"""The way to the joblib backend, for programs that may not have joblib."""

from __future__ import annotations


def register_joblib_backend(name: str = "ctrlhub", make_default: bool = False) -> None:
    """Have joblib run on engines: ``with joblib.parallel_config("ctrlhub")``.

    The configuration takes ``client=``, the client whose engines are to be used; without it there is
    a private cluster on this host, which all calls share and which ends with the interpreter.

    Parameters
    ----------
    name
        How it is called there.
    make_default
        Use it where nothing else is said.

    Raises
    ------
    ImportError
        joblib is not installed.

    Examples
    --------
    >>> register_joblib_backend()  # doctest: +SKIP
    >>> with joblib.parallel_config("ctrlhub", n_jobs=4):  # doctest: +SKIP
    ...     joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(10))
    """
    try:
        from ctrlhub.cluster.joblib_backend import register
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "joblib":
            raise
        raise ImportError("joblib is not installed: pip install 'ctrl-hub[joblib]'") from error
    register(name, make_default)
