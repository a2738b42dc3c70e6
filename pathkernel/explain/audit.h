#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/manifest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// One way to rank training examples by how suspect they are.
struct AuditMethod {
  std::string name;     ///< a column of suspects.csv: "path", "mean_loss"
  std::string meaning;  ///< in words
  Tensor scores;        ///< [N] float64, the most suspect largest
};

/// What an audit found in the training part.
struct Audit {
  std::vector<AuditMethod> methods;
  Tensor by_class;                     ///< [N, C] what each example did to the loss of each class of the queries
  std::vector<std::string> classes;    ///< C
  Tensor predicted;                    ///< [N] int64: the final network's class of each training example
  std::string queries;                 ///< "test:all"

  const AuditMethod& method(const std::string& name) const;
};

/// Scores of a method against label errors that are known.
struct Detection {
  std::string method;
  double auc = 0;                 ///< area under the ROC curve: that an error ranks above a right label, ties half
  std::vector<double> precision;  ///< share of errors among the first k, for each k that was asked
};
/// @param errors  [N] bool
Detection detection(const AuditMethod& method, const Tensor& errors, const std::vector<int64_t>& k);

/// Which method was best, in words: by AUC, and by the precision at the last k.
std::string best_in_words(const std::vector<Detection>& detections);

/// Examples by a method's score, the most suspect first.
Tensor ranked(const AuditMethod& method);

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
