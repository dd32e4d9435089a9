from components.train.report.log import TrainingLog, read_log


def test_lines_after_the_restored_step_and_torn_lines_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    log = TrainingLog(path, step=0)
    for step in (1, 2, 3):
        log.write(step=step, loss=1.0 / step)
    log.close()
    with path.open("a") as stream:
        stream.write('{"step": 4, "lo')
    TrainingLog(path, step=2).close()
    assert [record["step"] for record in read_log(path)] == [1, 2]


def test_a_log_that_does_not_exist_is_empty(tmp_path):
    assert list(read_log(tmp_path / "log.jsonl")) == []
