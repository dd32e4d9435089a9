"""Places whose input needs a server, a model or a graph: the tests that have it; and the few places without one."""

# ruff: noqa: E501  (the names of tests are sentences)

_CLIENT = "tests/pipelines/kubeflow/test_client.py::"
_COMMANDS = "tests/pipelines/kubeflow/test_commands.py::"
_CONNECTION = "pipelines/kubeflow/connection.py::"
_SCHEDULE = "tests/pipelines/kubeflow/test_schedule.py::"
_OBJECTS = "tests/hopline/store/test_objects.py::"
_TREES = "tests/hopline/store/test_trees.py::"
_LAUNCHER = "tests/components/train/launch/cluster/test_launcher.py::"
_PREPROCESS = (
    "tests/components/preprocess/test_main.py::test_bad_input_is_the_users_error_in_its_own_words_and_leaves_no_output"
)
_SERVE = "tests/components/use/test_serve.py::test_a_wrong_request_is_refused_with_a_message"
_USING = "tests/pipelines/test_using.py::test_bad_input_is_the_users_fault"
_CONTRACT = "components/preprocess/contract.py::"
_TFSERVING = "components/use/tfserving.py::TfServing."

_VECTORS = "hopline/model/vectors.py::"
_DAMAGED = "tests/hopline/model/test_vectors.py::test_a_damaged_file_is_refused_by_line_or_byte"
_RESIZED = "tests/pipelines/kubeflow/test_runs.py::test_what_cannot_be_resized_is_refused"
_LOCAL_RUNS = "tests/pipelines/test_local_runs.py::"
_PRETRAINED = "tests/components/train/state/test_pretrained.py::"
_READING = "tests/components/preprocess/test_reading.py::"

# By place, a test that raises its error and looks at it.
ELSEWHERE = {
    "hopline/corpus/objects.py::matches": "tests/hopline/corpus/test_objects.py::test_a_pattern_that_names_nothing_is_refused",
    "hopline/model/streams.py::load_stream": "tests/hopline/model/test_streams.py::test_a_split_shorter_than_one_sequence_is_refused",
    "hopline/model/streams.py::load_stream#2": "tests/hopline/model/test_streams.py::test_a_stream_that_differs_from_its_manifest_is_refused",
    "hopline/registry/registry.py::Registry.predecessor#2": "tests/hopline/registry/test_upkeep.py::test_a_rollback_to_a_removed_version_says_so",
    "hopline/store/gcs.py::GoogleBucket.fault": f"{_OBJECTS}test_create_only_refuses_to_replace",
    "hopline/store/gcs.py::GoogleBucket.fault#2": f"{_OBJECTS}test_a_bucket_that_does_not_exist_is_named",
    "hopline/store/gcs.py::GoogleBucket.fault#3": f"{_OBJECTS}test_refused_credentials_are_the_users_error_at_once",
    "hopline/store/gcs.py::GoogleBucket.fault#4": f"{_OBJECTS}test_refused_credentials_are_the_users_error_at_once",
    "hopline/store/gcs.py::GoogleBucket.__init__": f"{_OBJECTS}test_without_credentials_the_error_says_what_to_set",
    "hopline/store/objects.py::Store.download_file": f"{_OBJECTS}test_a_download_of_nothing_names_it",
    "hopline/store/s3.py::AmazonBucket.fault": f"{_OBJECTS}test_without_credentials_the_error_says_what_to_set",
    "hopline/store/s3.py::AmazonBucket._refusal": f"{_OBJECTS}test_create_only_refuses_to_replace",
    "hopline/store/s3.py::AmazonBucket._refusal#2": f"{_OBJECTS}test_a_bucket_that_does_not_exist_is_named",
    "hopline/store/s3.py::AmazonBucket._refusal#3": f"{_OBJECTS}test_refused_credentials_are_the_users_error_at_once",
    "hopline/store/trees.py::check_tree.check": f"{_TREES}test_a_damaged_tree_is_refused_and_leaves_the_folder_as_it_was",
    "hopline/store/trees.py::send_tree.send": f"{_TREES}test_a_missing_file_is_named",
    "hopline/store/trees.py::_manifest": f"{_TREES}test_a_tree_that_was_not_sent_whole_is_not_there",
    "hopline/store/trees.py::_files": f"{_TREES}test_a_damaged_manifest_is_refused",
    "hopline/store/trees.py::_files#2": f"{_TREES}test_a_manifest_that_names_files_outside_is_refused",
    "hopline/use/exported.py::Exported._older": "tests/hopline/use/test_model.py::test_an_export_of_an_older_hopline_says_so",
    "hopline/use/drawing.py::require_bounded": "tests/hopline/use/test_model.py::test_what_cannot_be_drawn_is_refused",
    "components/evaluate/__main__.py::choose_split": "tests/components/evaluate/test_main.py::test_a_wrong_configuration_is_refused",
    "components/evaluate/__main__.py::_evaluate": "tests/components/evaluate/test_main.py::test_a_model_of_other_examples_is_refused",
    "components/evaluate/compare.py::choose_rule": "tests/components/evaluate/test_compare.py::test_models_that_differ_in_case_do_not_compare",
    "components/evaluate/compare.py::Reader.of": "tests/components/evaluate/test_compare.py::test_a_reader_is_read_from_the_model_s_own_vocabulary",
    "components/evaluate/compare.py::require_same_words": "tests/components/evaluate/test_compare.py::test_models_that_read_other_words_do_not",
    "components/evaluate/text.py::read_documents": "tests/components/evaluate/test_text.py::test_a_split_without_text_is_refused",
    "components/evaluate/text.py::_passages": "tests/components/evaluate/test_text.py::test_a_damaged_line_is_named",
    "components/follow/follower.py::Follower._placed": "tests/components/follow/test_follower.py::test_a_registry_made_anew_does_not_pass_for_the_one_that_is_served",
    "components/follow/follower.py::Follower._place": "tests/components/follow/test_follower.py::test_a_pointer_that_names_another_model_than_its_version_holds_is_refused",
    "components/preprocess/vocabulary.py::promoted_vocabulary": "tests/components/preprocess/test_vocabulary.py::test_text_must_be_cut_as_it_was_for_the_champion",
    "components/resolve/__main__.py::require_comparable": "tests/components/resolve/test_main.py::test_a_challenger_that_could_not_be_compared_with_the_champion_is_refused_before_it_is_trained",
    "components/train/launch/cluster/api.py::connect": "tests/components/train/launch/cluster/test_api.py::test_without_a_cluster_the_error_says_what_to_set",
    "components/train/launch/cluster/api.py::_refusal": "tests/components/train/launch/cluster/test_api.py::test_a_rejected_object_says_what_is_wrong_with_it",
    "components/train/launch/cluster/kueue.py::waiting": "tests/components/train/launch/cluster/test_kueue.py::test_without_kueue_a_job_in_a_queue_would_wait_without_end_and_is_refused",
    "components/train/launch/cluster/task.py::TaskConfig._fill_volumes": "tests/components/train/launch/cluster/test_task.py::test_a_volume_in_the_place_of_one_of_ours_is_refused",
    "components/train/launch/cluster/watch.py::Watch._note_obstacles": f"{_LAUNCHER}test_a_volume_that_never_comes_ends_the_run",
    "components/train/launch/launchers.py::launch": "tests/components/train/launch/test_launchers.py::test_workers_of_this_machine_train_in_a_folder",
    "components/train/state/checkpoint.py::unwritable": "tests/components/train/state/test_checkpoint.py::test_that_we_may_not_write_is_the_users_fault_and_a_full_disk_is_not",
    "components/train/state/start.py::require_same_model": "tests/components/train/state/test_start.py::test_another_vocabulary_is_refused_before_training",
    "components/train/state/start.py::require_same_model#2": "tests/components/train/state/test_start.py::test_another_shape_is_refused_before_training",
    "components/train/worker.py::require_accelerators": "tests/components/train/test_worker.py::test_a_worker_that_sees_fewer_gpus_than_it_was_promised_does_not_train_without",
    "components/use/attention.py::show_attention#2": _USING,
    "components/use/tool_formats.py::Srilm.part_of_line": "tests/components/use/test_formats.py::test_srilm_refuses_a_line_that_it_would_have_to_hold_whole",
    "components/use/rescore.py::rescore#2": "tests/components/use/test_rescore.py::test_an_empty_list_is_refused",
    "components/use/inputs.py::check_input": _USING,
    "components/use/score.py::_once_known": _USING,
    "components/use/score.py::_once_known#2": _USING,
    f"{_TFSERVING}_predict": _SERVE,
    f"{_TFSERVING}_predict#2": _SERVE,
    "pipelines/containers.py::prepare": "tests/docker/test_run.py::test_an_image_that_is_not_there_is_named_with_the_remedy",
    "pipelines/containers.py::engine": "tests/pipelines/test_containers.py::test_without_an_engine_it_says_so_and_leaves_nothing_behind",
    "pipelines/containers.py::corpus_source": "tests/pipelines/test_containers.py::test_a_corpus_is_never_mounted_over_what_a_container_needs",
    "pipelines/doctor/preflight.py::require_ready": "tests/pipelines/doctor/test_cluster.py::test_what_a_run_would_wait_for_without_end_is_told_before_it_is_sent",
    "pipelines/kubeflow/client.py::Client._list": f"{_CLIENT}test_another_server_that_answers_everything_is_told_from_kubeflow",
    "pipelines/kubeflow/client.py::Client._read": f"{_CLIENT}test_another_server_that_answers_everything_is_told_from_kubeflow",
    f"{_CONNECTION}Connection.__init__": f"{_CLIENT}test_an_address_that_is_none_is_refused_with_the_remedy",
    f"{_CONNECTION}Connection.__init__#2": f"{_CLIENT}test_an_address_that_is_none_is_refused_with_the_remedy",
    f"{_CONNECTION}Connection._error": f"{_CLIENT}test_an_expired_token_is_an_error_until_a_new_one_is_in_the_file",
    f"{_CONNECTION}Connection._error#2": f"{_CLIENT}test_an_unknown_run_is_not_found",
    f"{_CONNECTION}Connection._error#3": f"{_CLIENT}test_a_name_that_somebody_else_has_taken_is_an_error",
    f"{_CONNECTION}Connection._error#5": f"{_CLIENT}test_what_the_server_refuses_is_the_users_fault_in_the_servers_words",
    f"{_CONNECTION}_client": f"{_COMMANDS}test_what_is_wrong_here_is_said_before_anything_is_sent",
    f"{_CONNECTION}_token": f"{_CLIENT}test_a_file_without_a_token_is_refused_at_once",
    f"{_CONNECTION}_token#2": f"{_CLIENT}test_a_file_without_a_token_is_refused_at_once",
    f"{_CONNECTION}_parsed": f"{_CLIENT}test_something_else_at_the_address_is_told_apart",
    f"{_CONNECTION}_parsed#2": f"{_CLIENT}test_another_server_that_answers_everything_is_told_from_kubeflow",
    "pipelines/kubeflow/schedule.py::resume": f"{_SCHEDULE}test_which_of_two_is_resumed_is_not_guessed",
    "pipelines/kubeflow/schedule.py::delete": f"{_SCHEDULE}test_a_schedule_whose_run_is_active_is_only_disabled",
    "pipelines/kubeflow/schedule.py::_known": f"{_SCHEDULE}test_a_name_that_is_not_there_is_answered_with_those_that_are",
    "pipelines/kubeflow/submission.py::prepare": f"{_COMMANDS}test_what_is_wrong_here_is_said_before_anything_is_sent",
    "pipelines/kubeflow/submission.py::upload": "tests/pipelines/kubeflow/test_submission.py::test_a_version_of_our_name_with_another_content_is_refused",
    "pipelines/kubeflow/submission.py::_require_reachable": "tests/pipelines/kubeflow/test_submission.py::test_a_place_of_this_machine_is_refused_with_a_remedy",
}
ELSEWHERE |= dict.fromkeys(
    [
        f"{_CONTRACT}require_splits#2", f"{_CONTRACT}require_few_skipped", f"{_CONTRACT}require_vocabulary",
        f"{_CONTRACT}require_vocabulary#2", f"{_CONTRACT}require_contract", f"{_CONTRACT}require_contract#2",
        f"{_CONTRACT}require_contract#3", f"{_CONTRACT}require_contract#4", f"{_CONTRACT}_require_known_words",
        f"{_CONTRACT}require_held_out", "components/preprocess/examples.py::_unchanged_files",
        "components/preprocess/passes.py::_pipeline",
    ],
    _PREPROCESS,
)  # fmt: skip
ELSEWHERE |= dict.fromkeys(
    [
        "hopline/use/exported.py::Exported.call", "hopline/use/exported.py::Exported.call#2",
        f"{_TFSERVING}_require_bounded", f"{_TFSERVING}_require_bounded#2",
    ],
    _SERVE,
)  # fmt: skip
ELSEWHERE |= {
    "hopline/store/sources.py::locate": "tests/hopline/model/test_vectors.py::test_a_uri_that_is_no_object_is_refused",
    "hopline/store/sources.py::locate#2": "tests/hopline/model/test_vectors.py::test_a_place_without_a_file_is_refused",
    **dict.fromkeys(
        [f"{_VECTORS}{name}" for name in ("_Form.error", "_form_of", "_form_of#2", "_form_of#3")], _DAMAGED
    ),
    "hopline/store/resizing.py::accepting": "tests/components/train/launch/test_local.py::test_two_launchers_in_one_folder_are_refused",
    "hopline/use/harness.py::HoplineLM.apply_chat_template": "tests/hopline/use/test_harness.py::test_a_chat_is_refused",
    "components/preprocess/drift.py::require_no_drift": "tests/components/preprocess/test_drift.py::test_each_distance_has_a_limit_of_its_own_and_the_error_has_the_figures",
    "components/preprocess/profile.py::promoted_profile": "tests/components/preprocess/test_profile.py::test_a_damaged_one_is_the_users_error_and_named",
    "components/preprocess/reading.py::_require_content": f"{_READING}test_a_pointer_to_a_large_file_is_refused_by_name",
    "components/preprocess/reading.py::_cut": f"{_READING}test_a_word_has_a_bound",
    "components/train/__main__.py::_located_vectors": "tests/components/train/test_train.py::test_vectors_that_have_changed_since_they_were_checked_are_refused",
    "components/train/state/pretrained.py::matching_vectors": f"{_PRETRAINED}test_vectors_of_no_word_of_the_vocabulary_are_refused",
    "components/train/state/pretrained.py::save_vectors": f"{_PRETRAINED}test_vectors_that_are_all_alike_are_refused",
    "pipelines/cli.py::main": "tests/pipelines/test_models.py::test_a_registry_that_may_only_be_read_is_shown_and_left_as_it_is",
    "pipelines/commands/local_runs.py::show_log": f"{_LOCAL_RUNS}test_a_log_of_this_machine_has_no_steps",
    "pipelines/commands/resize.py::_local": f"{_LOCAL_RUNS}test_a_training_of_this_machine_is_asked_for_another_number_of_workers",
    "pipelines/commands/resize.py::_local#2": f"{_LOCAL_RUNS}test_a_training_of_this_machine_is_asked_for_another_number_of_workers",
    "pipelines/commands/resize.py::_on_cluster": _RESIZED,
    "pipelines/commands/resize.py::_on_cluster#2": "tests/pipelines/kubeflow/test_runs.py::test_a_run_that_has_ended_is_not_resized",
    "pipelines/commands/resize.py::_on_cluster#3": _RESIZED,
    "pipelines/kubeflow/jobs.py::ask_for_workers": _RESIZED,
    "pipelines/kubeflow/jobs.py::_request": "tests/pipelines/kubeflow/test_runs.py::test_who_may_not_change_jobs_is_told_which_right_is_missing",
    "pipelines/kubeflow/kubectl.py::load_configuration": "tests/pipelines/kubeflow/test_runs.py::test_without_the_configuration_of_kubectl_it_is_named",
    "pipelines/local_runs.py::find": f"{_LOCAL_RUNS}test_a_run_that_is_not_there_is_named",
    "pipelines/metrics.py::MetricsFile.__init__": "tests/pipelines/test_metrics.py::test_a_file_that_cannot_be_written_is_told_before_the_run",
}

# No input of any test raises these yet; the list only shrinks.
WITHOUT_INPUT = [
    (
        "another process would have to change something between two of our own steps",
        ["components/preprocess/encode.py::encode", "pipelines/commands/models.py::_champion"],
    ),
    (
        "a conflict of two writers, which the registry turns into another error before a person sees it",
        ["hopline/registry/backends.py::LocalBackend.write"],
    ),
    (
        "answers of a server or cluster that the fake ones do not give",
        [
            "hopline/store/gcs.py::GoogleBucket.read_range",
            "hopline/store/s3.py::AmazonBucket.__init__",
            "pipelines/doctor/kind.py::_engine",
            f"{_CONNECTION}Connection._error#4",
            "pipelines/kubeflow/schedule_plan.py::next_step",
            "pipelines/commands/runs.py::_list",
            "components/train/launch/cluster/launcher.py::_is_gone",
            "components/train/launch/cluster/manifests.py::_amount",
        ],
    ),
    (
        "a terminal with somebody who says no",
        ["pipelines/commands/models.py::_require_consent#2"],
    ),
    (
        "a damaged file or an unusual input of a program that needs TensorFlow",
        [
            "hopline/model/streams.py::read_shard",
            "hopline/use/exported.py::Exported.__init__",
            "hopline/use/exported.py::Exported.call#3",
            "hopline/use/model.py::Model.nearest",
            "components/train/launch/launchers.py::main.run",
            "components/train/state/start.py::promoted_model",
            "components/train/worker.py::work",
            "components/use/attention.py::show_attention",
            "components/use/rescore.py::rescore",
            "components/use/serve.py::_listen",
            f"{_TFSERVING}_predict#3",
        ],
    ),
]
MOST_WITHOUT_INPUT = 24
