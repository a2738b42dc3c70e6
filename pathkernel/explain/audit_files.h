#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/explain/audit.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// suspects.csv: rank, example, label, the network's class, every method's score, the loss pushed up most by class; `flipped_from` where
/// errors were planted. @param flips  of the run   @param count  rows
std::string suspects_csv(const Audit& audit, const AuditMethod& by, const Dataset& data, const LabelFlips& flips, int64_t count);

struct AuditPageOptions {
  std::string title = "Pathkernel audit";
  int64_t count = 60;   ///< suspects shown
};
/// A page of the suspects, each as a person sees it, with its label, the network's class and what it did to the loss of each class.
std::string audit_page(const Audit& audit, const AuditMethod& by, const Dataset& data, const LabelFlips& flips, const std::vector<Detection>& detections,
                       const std::vector<int64_t>& k, const AuditPageOptions& options);

}  // namespace pathkernel
