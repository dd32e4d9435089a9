"""Declares `preprocess` to Kubeflow; the program is `python -m components.preprocess`."""

from kfp import dsl

from components.images import PREPROCESS


@dsl.component(base_image=PREPROCESS, install_kfp_package=False)
def preprocess(
    *,
    corpus_config: str,
    preprocess_config: str,
    fingerprint: str,
    registry: str,
    vocabulary_from: str,
    drift_from: str,
    work_dir: str,
    examples: dsl.Output[dsl.Dataset],
) -> None:
    """Turns the corpus into examples, with the vocabulary of the champion that `vocabulary_from` names, if it does.

    A new fingerprint is a new corpus, also to Kubeflow's cache.  It is compared with that of the champion `drift_from`.
    """
    from hopline.runtime.process import run_step

    arguments = {"corpus_config": corpus_config, "preprocess_config": preprocess_config, "fingerprint": fingerprint}
    arguments |= {"registry": registry, "vocabulary_from": vocabulary_from, "drift_from": drift_from}
    arguments["output"] = examples.path
    run_step("components.preprocess", arguments, work_dir)
