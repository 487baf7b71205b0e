"""Energy of a Raspberry Pi 5's rails and from an external meter's log; figures by hand.

The PMIC's output is a capture under load from the tests of github.com/ml-energy/zeus, pull 274.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from devices.energy import LOG_VARIABLE, energy_meter, use_log
from devices.pmic import rail_watts, read_watts
from devices.power_log import LoggedPower, integrate, read_power_log
from devices.reading import Reading
from devices.sampled_power import SampledPower

PMIC = """ 3V7_WL_SW_A current(0)=0.09368929A
   3V3_SYS_A current(1)=0.08783370A
   1V8_SYS_A current(2)=0.18054710A
  DDR_VDD2_A current(3)=0.22543980A
  DDR_VDDQ_A current(4)=0.06666720A
   1V1_SYS_A current(5)=0.17566740A
    0V8_SW_A current(6)=0.37670900A
  VDD_CORE_A current(7)=6.22421000A
   3V3_DAC_A current(17)=0.00006105A
   3V3_ADC_A current(18)=0.00036630A
   0V8_AON_A current(16)=0.00305250A
      HDMI_A current(22)=0.02417580A
 3V7_WL_SW_V volt(8)=3.69977600V
   3V3_SYS_V volt(9)=3.31003300V
   1V8_SYS_V volt(10)=1.80512600V
  DDR_VDD2_V volt(11)=1.10476100V
  DDR_VDDQ_V volt(12)=0.60146460V
   1V1_SYS_V volt(13)=1.11025500V
    0V8_SW_V volt(14)=0.80146440V
  VDD_CORE_V volt(15)=0.86173300V
   3V3_DAC_V volt(20)=3.31318300V
   3V3_ADC_V volt(21)=3.30677300V
   0V8_AON_V volt(19)=0.80029220V
      HDMI_V volt(23)=5.08664000V
     EXT5V_V volt(24)=5.09066000V
      BATT_V volt(25)=0.00000000V
"""


def test_twelve_rails_have_power_and_the_input_and_the_battery_none() -> None:
    rails = rail_watts(PMIC)

    assert len(rails) == 12
    assert rails["VDD_CORE"] == pytest.approx(6.22421 * 0.861733)
    assert not {"EXT5V", "BATT"} & set(rails)
    assert sum(rails.values()) == pytest.approx(7.240, abs=0.001)


def test_channels_that_nul_separates_are_read_too() -> None:
    assert rail_watts(PMIC.replace("\n", "\0")) == rail_watts(PMIC)


@pytest.mark.parametrize(
    "text", ["", 'error=1 error_msg="Command not registered"', "A_A current(1)=nanA", "x=1"]
)
def test_what_is_not_the_chips_output_has_no_power(tmp_path: Path, text: str) -> None:
    write_output(tmp_path, text)
    assert read_watts(tmp_path) is None


def write_output(root: Path, text: str) -> None:
    (root / "commands").mkdir(exist_ok=True)
    (root / "commands/vcgencmd-pmic_read_adc.txt").write_text(text)


def test_a_raspberry_pi_5s_rails_are_sampled_and_integrated(tmp_path: Path) -> None:
    write_output(tmp_path, PMIC)
    meter = energy_meter(tmp_path)
    assert isinstance(meter, SampledPower)

    meter.start()
    reading = meter.stop()

    assert "pmic_read_adc" in reading.method
    assert "every 100 ms" in reading.method
    assert reading.value is not None
    assert reading.value >= 0


def log(folder: Path, text: str) -> Path:
    file = folder / "watts.csv"
    file.write_text(text)
    return file


def joules(rows: str, folder: Path, start_s: float, end_s: float) -> Reading:
    times = iter([start_s, end_s, *[end_s + 100] * 100])
    meter = LoggedPower(log(folder, rows), clock=lambda: next(times), sleep=lambda _: None)
    meter.start()
    return meter.stop()


def test_watts_are_integrated_between_the_regions_ends(tmp_path: Path) -> None:
    reading = joules("time,watts\n100,2\n101,4\n102,4\n103,8\n", tmp_path, 100.5, 102.5)

    # 3 to 4 in half a second, 4 for one, 4 to 6 in half a second
    assert reading.value == pytest.approx(1.75 + 4.0 + 2.5)
    assert reading.method == "external meter, watts.csv"


def test_iso_times_are_aligned_with_this_machines_clock(tmp_path: Path) -> None:
    start_s = datetime(2026, 11, 1, 12, tzinfo=timezone.utc).timestamp()
    rows = "2026-11-01T12:00:00Z,5\n2026-11-01T14:00:02+02:00,5\n"
    assert joules(rows, tmp_path, start_s + 0.5, start_s + 1.5).value == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("100,2\n101,2\n", "the log covers from 100.000 to 101.000"),
        ("101,2\n104,2\n", "the log covers"),
        ("100,2\n103.5,2\n", "a gap of 3.5 s"),
        ("", "no time"),
    ],
)
def test_a_log_that_does_not_cover_the_region_gives_no_figure(
    tmp_path: Path, rows: str, words: str
) -> None:
    reading = joules(rows, tmp_path, 100.5, 102.5)

    assert reading.value is None
    assert words in str(reading.reason)


def test_a_row_after_the_end_is_waited_for(tmp_path: Path) -> None:
    file = log(tmp_path, "100,2\n101,2\n")
    times = iter([100.0, 102.0, 102.1, 102.2])
    meter = LoggedPower(
        file,
        clock=lambda: next(times),
        sleep=lambda _: file.write_text("100,2\n101,2\n102.5,2\n") and None,
    )
    meter.start()
    assert meter.stop().value == pytest.approx(4.0)


@pytest.mark.parametrize(
    "rows", ["100,2\n99,2\n", "100,2\n101\n", "100,2\n101,nan\n", "a,b\nc,d\n"]
)
def test_a_bad_row_is_an_error_with_its_line(tmp_path: Path, rows: str) -> None:
    with pytest.raises(ValueError, match="line 2: each row must be a later time and its watts"):
        read_power_log(log(tmp_path, rows))


def test_a_missing_log_is_an_error_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "none.csv"))
    with pytest.raises(ValueError, match="cannot be read"):
        energy_meter(tmp_path)


def test_a_log_that_a_run_is_given_serves_its_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    log(tmp_path, "100,2\n")

    use_log(None)
    assert not os.environ[LOG_VARIABLE]
    use_log("watts.csv")

    assert os.environ[LOG_VARIABLE] == str(tmp_path / "watts.csv")
    assert isinstance(energy_meter(tmp_path), LoggedPower)


def test_a_last_row_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    assert read_power_log(log(tmp_path, "100,2\n101,")) == [(100.0, 2.0)]


def test_a_region_between_two_rows_is_interpolated_at_both_ends() -> None:
    assert integrate([(0.0, 0.0), (2.0, 2.0)], 0.5, 1.5) == (pytest.approx(1.0), "")
