"""Policies as they are written down: one without error rates, one with them."""

TEXT = """
name = "made-up"
calibrated = false
provenance = "a test"
[holds_for]
domain = "photo"
embedding_space = "stub/1"
comparator = "centroid/raw"
[limits]
similarity = 0.5
other_similarity = 0.45
margin = 0.05
face_side = 40
sharpness = 20
"""

#: Of non-mated comparisons 3 % reach 0.5, and a fifth reaches 0.2.
MEASURED = (
    TEXT.replace("calibrated = false", "calibrated = true")
    + f"""
[calibration]
measured_on = "a test"
scores_sha256 = "{64 * "0"}"
made_with = "tests"
subjects = 3
mated = 10
non_mated = 100
gallery_size = 2
sources = {{similarity = "FMR 0.01"}}
operating_points = []
smallest_p_value = 0.1
[calibration.rates]
similarity = [0.1, 0.2, 0.5]
fmr = [0.5, 0.2, 0.03]
fnmr = [0.0, 0.1, 0.4]
[calibration.likelihood_ratio]
similarity = [0.1, 0.5]
log_ratio = [-2.0, 3.0]
min_cllr = 0.2
"""
)
