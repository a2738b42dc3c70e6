#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/core/tensors.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/train/learner.h>

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

struct AuditOptions {
  int64_t stride = 16;                ///< steps that share one gradient of the queries; 1 is exact, and slower
  int64_t checkpoints = 5;            ///< of mean_loss, tracin and tracin_self, or as many as the run has
  int64_t memory = int64_t(4) << 30;  ///< for the work
};

/// Ranks all training examples by what they did to the loss of the queries along the whole path (`path`, and `path_worst_class` for the one
/// class that an example harmed most), and by plain baselines from the same recording: an example's own loss at the end and along the path
/// (`final_loss`, `mean_loss`), TracIn and its self-influence (`tracin`, `tracin_self`).
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @param queries  single inputs with class labels   @param name  of the queries, "test:all"
/// Cost: one sweep with a query a class, and TracIn over the checkpoints (tracin.h).
/// @throws InvalidInput where the run predicts numbers, or the queries have no classes, and as sweep() and tracin() do
Audit make_audit(const Recording& recording, const Learner& learner, const Dataset& data, Queries queries, const std::string& name, const AuditOptions& options = {},
                 const Progress& progress = {});

}  // namespace pathkernel
