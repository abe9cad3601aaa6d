"""Why a gradient is None, zero, NaN, huge or tiny: explanations, and an alarm for the first NaN."""

from minigrad.why.anomaly import AnomalyError as AnomalyError
from minigrad.why.anomaly import detect_anomaly as detect_anomaly
from minigrad.why.explanation import CAUSES as CAUSES
from minigrad.why.explanation import Explanation as Explanation
from minigrad.why.explanation import explain_grad as explain_grad
from minigrad.why.explanation import leaves as leaves
from minigrad.why.explanation import survey as survey
